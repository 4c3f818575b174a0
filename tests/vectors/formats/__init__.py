"""One module for each format of known answers.

Each module has two functions::

    recognises(document) -> bool            by content; a file's name never counts
    checks(document) -> Iterator[Check]     one check for each known answer in the document

A check raises when the code disagrees with the answer: an error of smpchat, or `tests.vectors.check.Mismatch`.
`tests.vectors.registry` lists the modules.
"""
