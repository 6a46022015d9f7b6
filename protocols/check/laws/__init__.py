"""The laws that an examination tries: one a module, with its proof and its kind of finding."""
