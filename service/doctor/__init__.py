"""What `hipway doctor` looks at, one file per part, and what it says about each."""
