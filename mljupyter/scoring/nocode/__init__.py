"""Built-in scoring scripts for models that come without one (Azure ML v1: no-code deployment).

Each module has `init()` and `run(data)` like a user's script and finds its model in AZUREML_MODEL_DIR. For the Open
Inference Protocol it has `tensors()`, which returns the platform, inputs and outputs of the model after `init()`, or
says why there are none; and `infer(tensors, outputs, parameters)`, which returns arrays by the names of outputs.
"""
