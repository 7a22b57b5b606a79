"""Magics: deploy, score and watch endpoints from notebook cells."""
