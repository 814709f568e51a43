"""What users are shown is aligned as text, and safe as HTML."""

from dataclasses import dataclass

from daskml_exec.executor import Facts, Readable, Table, frame_of


@dataclass(frozen=True)
class City:
    name: str
    people: int


@dataclass(frozen=True, repr=False)
class Atlas(Readable):
    cities: tuple[City, ...]

    def _parts(self):
        yield Facts([("cities", f"{len(self.cities)}")], 8, "an atlas")
        rows = [(city.name, f"{city.people:,}") for city in self.cities]
        yield Table(("name", "people"), rows, words=["name"])


ATLAS = Atlas((City("Bonn", 330), City("<Rome>", 2800)))


def test_text_is_aligned():
    lines = ["an atlas", "  cities2", "name    people", "Bonn       330", "<Rome>   2,800"]
    assert str(ATLAS).splitlines() == repr(ATLAS).splitlines() == lines


def test_html_has_the_same_and_is_escaped():
    assert ATLAS._repr_html_() == (
        "<table><caption>an atlas</caption><tbody><tr><th>cities</th><td>2</td></tr></tbody>"
        "</table><table><thead><tr><th>name</th><th>people</th></tr></thead><tbody><tr>"
        "<td>Bonn</td><td>330</td></tr><tr><td>&lt;Rome&gt;</td><td>2,800</td></tr></tbody></table>"
    )


def test_a_table_without_rows_is_its_header():
    assert Table(("name", "people"), ()).lines() == ["name  people"]


def test_a_frame_has_the_fields_as_columns():
    assert frame_of(ATLAS.cities, City).to_dict("list") == {
        "name": ["Bonn", "<Rome>"],
        "people": [330, 2800],
    }
    assert frame_of((), City).columns.tolist() == ["name", "people"]
