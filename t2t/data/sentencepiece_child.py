"""The child process of tokenizer_training: options and lines on stdin, the model on stdout.

The first line of stdin is a JSON object of SentencePiece options, then come lines of text, then a
line with the byte 4. stdin then stays open until the parent has its model; when it closes before
that, the parent is gone and so is this.
"""

import io
import json
import os
import sys
import threading


def main() -> int:
    stdin = sys.stdin.buffer
    options = json.loads(stdin.readline())
    lines = []
    while (line := stdin.readline()) != b"\x04\n":
        if not line:
            return 1
        lines.append(line[:-1].decode())

    def end_with_the_parent():
        stdin.read()
        os._exit(1)

    threading.Thread(target=end_with_the_parent, daemon=True).start()
    import sentencepiece

    model = io.BytesIO()
    try:
        # An iterator, not a file: the file's path would be written into the model.
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines), model_writer=model, **options
        )
    except (RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(model.getvalue())
    sys.stdout.buffer.flush()
    # Leaves without the interpreter's shutdown, which would wait for the thread reading stdin.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
