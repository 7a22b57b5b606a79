"""Substitutes for the modules of the Azure ML v1 SDK that scoring scripts import, for replicas without the SDK.

`finder` provides them under their original names. It comes last in `sys.meta_path`, so that installed packages take
precedence. Nothing is imported before a script does so.
"""
