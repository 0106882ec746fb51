"""The command `emr-ner export` under the name that Model Garden users look for."""

from emr_ner_tf.cli.export import main
from emr_ner_tf.cli.runner import run

if __name__ == "__main__":
    run(main)
