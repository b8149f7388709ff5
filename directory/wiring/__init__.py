"""Which parts make up the whole? The only room that names concrete adapters."""
