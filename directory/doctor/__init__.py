"""What keeps an organization's mail from arriving? Checks that a person runs, with what to do about each."""
