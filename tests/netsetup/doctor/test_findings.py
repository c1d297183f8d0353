from netsetup.doctor.findings import Diagnosis, Finding, Severity


def found(title: str, severity: Severity = Severity.ERROR, *evidence: str) -> Finding:
    return Finding(severity=severity, title=title, evidence=evidence, effect="nothing works", fix="mend it")


def test_the_worst_comes_first_and_each_is_said_once() -> None:
    diagnosis = Diagnosis.of(
        [
            found("note", Severity.NOTE),
            found("a", Severity.ERROR, "seen 1"),
            found("b", Severity.WARNING),
            found("a", Severity.ERROR, "seen 2", "seen 1"),
        ]
    )
    assert [one.title for one in diagnosis.findings] == ["a", "b", "note"]
    assert diagnosis.findings[0].evidence == ("seen 1", "seen 2")
    assert diagnosis.lines()[:4] == (
        "error: a",
        "    seen:   seen 1",
        "    seen:   seen 2",
        "    effect: nothing works",
    )


def test_notes_alone_are_nothing_serious() -> None:
    assert not Diagnosis.of([found("note", Severity.NOTE)]).serious
    assert Diagnosis.of([found("warning", Severity.WARNING)]).serious
    assert Diagnosis().lines() == ("nothing found",)


def test_for_programs() -> None:
    assert found("a", Severity.WARNING, "seen").as_dict() == {
        "severity": "warning",
        "title": "a",
        "evidence": ["seen"],
        "effect": "nothing works",
        "fix": "mend it",
    }
