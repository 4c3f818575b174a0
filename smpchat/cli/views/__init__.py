"""What commands print: objects for scripts (`smpchat.cli.schema`) and lines for people; one module per subject.

Peer text is always escaped. Colours only repeat what words or symbols say. `rich` is imported only where something is
drawn, so that scripts need not wait for the import.
"""
