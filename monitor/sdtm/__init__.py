"""Trial data in SDTM, the form in which trials are exchanged, turned into messages of the contract.

Exposure (EX) becomes courses, adverse events (AE), laboratory (LB) and demographics (DM) become facts about the same
subjects. Each row of each file is accounted for: used, used without something it says, or listed with a reason that
never holds a value of it.
"""

from monitor.sdtm.accounts import Accounts
from monitor.sdtm.convert import Options, convert
from monitor.sdtm.tables import Table, WrongFileError, read_table

__all__ = ["Accounts", "Options", "Table", "WrongFileError", "convert", "read_table"]
