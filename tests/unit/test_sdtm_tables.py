"""Reading SDTM csv files: every record becomes a row, whatever it holds."""

import gzip
from pathlib import Path

import pytest

from monitor.sdtm.tables import LONGEST_CELL, Row, WrongFileError, read_table

HEADER = "USUBJID,EXSEQ,EXTRT,EXDOSE,EXDOSU,EXDOSFRQ,EXSTDTC,EXENDTC"
GOOD = "S1,1,DRUG,15,mg,QD,2013-01-01,2013-02-01"


def rows(tmp_path: Path, content: str | bytes) -> list[Row]:
    path = tmp_path / "ex.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_table("EX", [str(path)]).rows)


def test_header_names_are_read_in_any_case_and_order(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, "exseq, UsubjID ,extrt,exdose,exdosu,exstdtc,exendtc\n1,S1,DRUG,15,mg,2013-01-01,\n")
    assert row.cells == {"EXSEQ": "1", "USUBJID": "S1", "EXTRT": "DRUG", "EXDOSE": "15", "EXDOSU": "mg",
                         "EXSTDTC": "2013-01-01"}  # fmt: skip


@pytest.mark.parametrize("missing", ["", "NA", "  ", " NA "])
def test_na_and_the_empty_cell_are_missing(tmp_path: Path, missing: str) -> None:
    (row,) = rows(tmp_path, f"{HEADER}\nS1,1,DRUG,15,mg,QD,2013-01-01,{missing}\n")
    assert "EXENDTC" not in row.cells


def test_a_byte_order_mark_and_dos_line_ends_are_no_part_of_the_data(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, b"\xef\xbb\xbf" + f"{HEADER}\r\n{GOOD}\r\n".encode())
    assert (row.cells["USUBJID"], row.cells["EXENDTC"]) == ("S1", "2013-02-01")


def test_a_gzipped_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, gzip.compress(f"{HEADER}\n{GOOD}\n".encode()))
    assert row.cells["USUBJID"] == "S1"


def test_a_row_knows_its_line_also_after_blank_ones_and_a_cell_of_two_lines(tmp_path: Path) -> None:
    found = rows(tmp_path, f'{HEADER}\n\n{GOOD}\nS2,1,"DRUG\nTWO",15,mg,QD,2013-01-01,\n{GOOD}\n')
    assert [row.line for row in found] == [3, 5, 6]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ("S1,1", "the header has 8 cells and this row 2"),
        (f"{GOOD},more", "the header has 8 cells and this row 9"),
        (f"S1,1,{'D' * (LONGEST_CELL + 1)},15,mg,QD,2013-01-01,", "a cell has more than 2000 characters"),
        (f"S1,1,{'D' * 200_000},15,mg,QD,2013-01-01,", "it cannot be read as csv"),
    ],
)
def test_a_record_that_is_no_row_is_kept_with_its_problem(tmp_path: Path, record: str, problem: str) -> None:
    bad, good = rows(tmp_path, f"{HEADER}\n{record}\n{GOOD}\n")
    assert (bad.problem or "").startswith(problem)
    assert bad.cells == {}
    assert good.problem is None


def test_bytes_that_are_not_utf_8_spoil_their_row_only(tmp_path: Path) -> None:
    bad, good = rows(
        tmp_path, f"{HEADER}\n".encode() + GOOD.encode().replace(b"DRUG", b"DR\xdcG") + f"\n{GOOD}\n".encode()
    )
    assert bad.problem == "it is not UTF-8"
    assert good.problem is None


def test_a_nul_byte_does_not_end_the_file(tmp_path: Path) -> None:
    spoilt = GOOD.replace("DRUG", "DR\0UG")
    found = rows(tmp_path, f"{HEADER}\n{spoilt}\n{GOOD}\n")
    assert len(found) == 2
    assert found[1].problem is None


def test_a_quote_that_is_never_closed_is_one_bad_row(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, f'{HEADER}\nS1,1,"DRUG,15,mg,QD,2013-01-01,\n{GOOD}\n{GOOD}\n')
    assert row.problem == "the header has 8 cells and this row 3"
    assert row.line == 4


@pytest.mark.parametrize("column", ["USUBJID", "EXSEQ", "EXTRT", "EXDOSE", "EXDOSU", "EXSTDTC", "EXENDTC"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    with pytest.raises(WrongFileError, match=f"ex.csv: column {column} is missing"):
        rows(tmp_path, HEADER.replace(column, "OTHER") + "\n")


def test_either_of_two_columns_will_do(tmp_path: Path) -> None:
    path = tmp_path / "ae.csv"
    path.write_text("USUBJID,AESEQ,AESER,AESTDTC\n")
    with pytest.raises(WrongFileError, match="column AEDECOD or AETERM is missing"):
        read_table("AE", [str(path)])


@pytest.mark.parametrize("content", ["", "\n\n", "USUBJID;EXSEQ;EXTRT\nS1;1;DRUG\n"])
def test_a_file_without_its_header_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(WrongFileError, match="separated by commas"):
        rows(tmp_path, content)


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongFileError, match="column EXDOSE stands twice"):
        rows(tmp_path, f"{HEADER},exdose\n")


def test_damaged_gzip_data_is_a_wrong_file(tmp_path: Path) -> None:
    with pytest.raises(WrongFileError, match="damaged gzip"):
        rows(tmp_path, gzip.compress(f"{HEADER}\n{GOOD}\n".encode() * 50)[:-20])


def test_several_files_of_a_domain_are_one_table(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.csv", "b.csv")]
    for path in paths:
        path.write_text(f"{HEADER}\n{GOOD}\n")
    table = read_table("EX", [str(path) for path in paths])
    assert [Path(row.file).name for row in table.rows] == ["a.csv", "b.csv"]
