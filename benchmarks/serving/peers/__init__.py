"""The other servers, one module each."""

from benchmarks.serving.peer import Peer
from benchmarks.serving.peers.azureml import AZUREML
from benchmarks.serving.peers.bentoml import BENTOML
from benchmarks.serving.peers.kserve import KSERVE
from benchmarks.serving.peers.litserve import LITSERVE
from benchmarks.serving.peers.mlflow import MLFLOW
from benchmarks.serving.peers.mlserver import MLSERVER
from benchmarks.serving.peers.ray import RAY

PEERS: tuple[Peer, ...] = (AZUREML, MLSERVER, KSERVE, LITSERVE, BENTOML, MLFLOW, RAY)

__all__ = ["PEERS"]
