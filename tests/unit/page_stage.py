"""Pages as tests look at them."""

from __future__ import annotations

from monitor.overview import CourseView
from monitor.web.pages import Choice
from tests.unit.page_reader import read


def shown(pages, overview, query=None, *, may_write=True, said=None):
    choice = Choice.from_query(query or {}, overview.result)
    return read(pages.overview(overview, choice=choice, may_write=may_write, said=said))


def course(pages, overview, site, treatment_id, answers, *, open_cases=(), may_write=True):
    found = CourseView(answers, open_cases, [])
    html = pages.course(overview, site, treatment_id, found, may_write=may_write, said=None)
    return read(html)
