"""The documentation's site: what mkdocs builds besides the pages in docs/ (mkdocs.yml)."""
