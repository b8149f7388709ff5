"""Where do recipients meet the service? Pages of HTML, the only ones with secrets behind their addresses."""
