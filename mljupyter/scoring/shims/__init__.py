"""Modules that scripts written for Azure ML v1 import, for replicas without the SDK.

`finder` serves them under their old names. It is asked last, so that the real packages win where they are installed.
Nothing is imported before a script does.
"""
