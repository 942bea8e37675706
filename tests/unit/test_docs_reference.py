"""The generated reference says what the code says."""

from __future__ import annotations

from tools import generate_docs


def test_generated_pages_are_current() -> None:
    assert generate_docs.stale() == []


def test_every_setting_has_a_meaning() -> None:
    classes = [generate_docs.ServiceSettings, *(settings for _, settings in generate_docs.service_settings())]

    silent = [
        f"{settings.__name__}.{name}"
        for settings in classes
        for name, field in settings.model_fields.items()
        if not field.description
    ]

    assert silent == []
