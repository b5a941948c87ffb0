"""Pure decisions: values in, decisions out. No I/O, no clock, no randomness, no logging.

`normalise` reads either side's values into normal form and back, `compare` says who changed one field, `decide` what follows
for it under the mapping, `plan` what follows for one link. How a plan is carried out is `sync`'s business.
"""
