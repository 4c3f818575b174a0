"""One module for each group of commands. A module is imported only when one of its commands runs."""
