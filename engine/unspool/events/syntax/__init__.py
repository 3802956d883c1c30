"""From two versions of a source to the operations between them: trees that tile the text, and their difference."""
