"""What an agent is told: where its parts come from, in which order, and what is cut when it is too much."""

import pytest

from offhook.agent.agents import gather
from offhook.agent.assemble import BETWEEN, MARK, assemble, caller_part, resume_part, tokens
from offhook.agent.persona import CALLER, LISTED, Part, read_persona
from offhook.agent.prompt import CallFacts
from offhook.settings import load

FACTS = CallFacts("+15550100001", "+15550100002", "CA1", "inbound", {}, parameters={"campaign": "spring"})


def persona(tmp_path, text):
    (tmp_path / "offhook.toml").write_text('[provider]\nname = "openai"\n' + text)
    profile = gather(load({}, environment={}, cwd=tmp_path))[0].profiles["default"]
    return read_persona(profile)


def test_one_instruction_alone_is_told_as_it_stands(tmp_path):
    found, problems = persona(tmp_path, '[agent]\ninstructions = "Be brief.  "\n')
    assert not problems and assemble(found.parts, FACTS, 32_000).text == "Be brief.  "


def test_own_words_languages_files_and_workspace_in_this_order(tmp_path):
    (tmp_path / "a.md").write_text("Apples.")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "ABOUT.md").write_text("I am Bob.\n")
    (tmp_path / "w" / "gptme.toml").write_text(
        '[prompt]\nprompt = "Short."\nfiles = ["ABOUT.md", "n/*.md", "gone.md"]\ncontext_cmd = "rm -rf /"\n'
    )
    (tmp_path / "w" / "n").mkdir()
    for name in ("b", "a"):
        (tmp_path / "w" / "n" / f"{name}.md").write_text(name)
    text = '[agent]\ninstructions = "Be."\nfiles = ["a.md"]\nworkspace = "w"\nlanguages = ["nb", "en"]\n'
    found, problems = persona(tmp_path, text)
    assert not problems
    assert [part.name for part in found.parts] == [
        "instructions", "languages", "a.md", "ABOUT.md", "gptme.toml prompt", "n/a.md", "n/b.md",
    ]  # fmt: skip
    assert found.parts[3].text == "# ABOUT.md\n\nI am Bob."
    assert found.remarks == (
        "w/gptme.toml: context_cmd is not run", "w/gptme.toml: 'gone.md' matches no file; left out",
    )  # fmt: skip
    assert {path.name for path in found.files} >= {"a.md", "ABOUT.md", "gptme.toml", "b.md"}


def test_the_older_form_of_gptme_toml_has_its_files_at_the_top(tmp_path):
    (tmp_path / "README.md").write_text("Readme.")
    (tmp_path / "gptme.toml").write_text('prompt = "Old."\nfiles = ["README.md"]\n')
    found, problems = persona(tmp_path, '[agent]\nworkspace = "."\n')
    assert not problems and [part.name for part in found.parts] == ["gptme.toml prompt", "README.md"]


@pytest.mark.parametrize(
    ("text", "setting", "says"),
    [
        ('files = ["gone.md"]', "agent.files", "gone.md: No such file"),
        ('workspace = "gone"', "agent.workspace", "no such folder"),
        ('workspace = "."', "agent.workspace", "neither ABOUT.md nor gptme.toml"),
        ('instructions_file = "latin.md"', "agent.instructions_file", "not UTF-8"),
        ('files = ["big.md"]', "agent.files", "over 1048576 bytes"),
        ('workspace = "bad"', "agent.workspace", "not TOML"),
    ],
)
def test_a_file_that_cannot_be_told_is_named(tmp_path, text, setting, says):
    (tmp_path / "latin.md").write_bytes(b"\xe5")
    (tmp_path / "big.md").write_bytes(b"x" * (1024 * 1024 + 1))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "gptme.toml").write_text("[prompt\n")
    _, problems = persona(tmp_path, f"[agent]\n{text}\n")
    assert [problem.setting for problem in problems] == [setting]
    assert says in problems[0].got and "offhook.toml:4" in problems[0].got


OWN = Part("instructions", "f:1", "x" * 300)
LIST = Part("list.md", "list.md", "\n".join(f"line {n:04d}" for n in range(100)), LISTED)
WHO = Part("caller", "file", "- name: Ada", CALLER)


def test_what_matters_least_is_cut_first_at_the_end_of_a_line_and_said():
    prompt = assemble((OWN, LIST, WHO), FACTS, 900)
    own, listed, who = prompt.parts
    assert len(prompt.text) <= 900 and prompt.text.endswith("- name: Ada")
    assert (own.why, who.why) == ("", "") and listed.why == "agent.max_prompt_chars is 900, and this part matters least"
    assert listed.chars == 999 and 0 < listed.kept_chars < 600
    kept = prompt.text.split(BETWEEN)[1]
    assert kept.endswith(MARK) and kept.removesuffix(MARK).splitlines()[-1].startswith("line 0")
    assert prompt.cut == (listed,)


def test_a_part_of_which_little_would_be_left_goes_whole():
    prompt = assemble((OWN, LIST, WHO), FACTS, 450)
    assert [part.kept_chars for part in prompt.parts] == [300, 0, 11]
    assert BETWEEN * 2 not in prompt.text


def test_own_words_are_cut_last_and_that_is_said_too():
    long = Part("instructions", "f:1", "{{parameter.campaign}} " + "y" * 2000)
    prompt = assemble((long, LIST), FACTS, 500)
    assert len(prompt.text) <= 500 and prompt.text.startswith("spring yyy")
    assert "alone is too long" in prompt.parts[0].why.replace("is alone too long", "alone is too long")


def test_nothing_is_cut_where_it_just_fits():
    size = 300 + len(BETWEEN) + 999
    assert not assemble((OWN, LIST), FACTS, size).cut
    assert assemble((OWN, LIST), FACTS, size - 1).cut
    assert tokens(9) == 3


def test_a_caller_nobody_vouches_for_is_told_of_as_a_claim():
    claimed = caller_part(FACTS, {"name": "Ada"}, "file")
    assert claimed is not None and "may be somebody else" in claimed.text
    sure = caller_part(CallFacts("+1", "+2", "CA", "inbound", {}, verified=True), {"name": "Ada"}, "file")
    assert sure is not None and "somebody else" not in sure.text and sure.text.endswith("- name: Ada")
    assert caller_part(FACTS, {}, "file") is None


def test_the_end_of_a_call_that_was_cut_off_is_told_by_who_said_it():
    text = resume_part([("caller", "I want Tuesday."), ("agent", "Tuesday at")], 130).text
    assert "2 minutes ago" in text and "Caller: I want Tuesday.\nYou: Tuesday at" in text
