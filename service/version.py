"""The version of the service, as it says it everywhere."""

VERSION = "0.1.0"
