"""``kvbarrier check``: the plug-in contract, finding by finding."""
