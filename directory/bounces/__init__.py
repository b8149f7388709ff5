"""What comes back of the mails that were sent: what it says, whether it is genuine, what follows from it."""
