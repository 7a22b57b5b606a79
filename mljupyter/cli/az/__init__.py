"""Old command lines of Azure as they stand: ``mljupyter az ml model deploy -ct myaks -m mymodel:1``.

`table` lists what each command is here, `commands` runs it, `clusters` describes clusters as ``az aks show`` does.
"""

from mljupyter.cli.az.commands import az, run

__all__ = ["az", "run"]
