"""Why a definition has its value."""
def explained(run, name):
    return {}
