"""What is wrong with an installation on Kafka, and what to do next: one function for each check.

It only looks: nothing is written, no group joined, nobody fenced. No value of a message and no secret is told.
"""
