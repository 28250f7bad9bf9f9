"""The sections of the Masks page; each module draws one, `panels` is pure."""
