"""The names of the Azure ML SDK v1 for old notebooks: ``import azureml.core`` gives the classes of `mljupyter.core`.

`hook` has two finders of modules; ``mljupyter azureml enable`` (`installation`) installs them in all interpreters of an
environment, ``%load_ext mljupyter`` in a kernel. `modules` has the table of modules, `reasons` a sentence for each part
that is not there, `facades` makes the modules.

``python -m mljupyter.azureml script.py`` runs a script with the hook.
"""
