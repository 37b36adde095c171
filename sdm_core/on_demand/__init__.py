"""Predictions finer than an atlas, made when somebody asks for them, and reports written in the background.

Nothing here loads a model before a job needs it: pages ask for plans and read what is done.
"""
