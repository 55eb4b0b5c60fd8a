"""Names of bugs: the known bug that gives the numbers of an engine, if one can be relied on."""
