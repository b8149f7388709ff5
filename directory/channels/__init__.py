"""By which ways does an organization get a password? Its webhook; the mails are in `directory.delivery`."""
