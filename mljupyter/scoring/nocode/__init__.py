"""Built-in scoring scripts for models that come without one (Azure ML v1: no-code deployment).

Each module has `init()` and `run(data)` like a user's script and finds its model in AZUREML_MODEL_DIR.
"""
