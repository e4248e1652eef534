"""Signatures of the tools that agents can have attached but this version does not run.

Only their schemas are used: clients list them, attach them and move agents that have them.
"""

from typing import Literal

from pydantic import BaseModel, Field


def send_message_to_agent_and_wait_for_reply(message: str, other_agent_id: str) -> None:
    """Send a message to another agent and wait for its reply.

    Args:
        message: Text of the message.
        other_agent_id: Id of the agent to send it to.
    """


def send_message_to_agents_matching_tags(message: str, match_all: list[str], match_some: list[str]) -> None:
    """Send a message to all agents with certain tags and wait for their replies.

    Args:
        message: Text of the message.
        match_all: Tags of which a recipient must have every one.
        match_some: Tags of which a recipient must have at least one.
    """


def send_message_to_agent_async(message: str, other_agent_id: str) -> None:
    """Send a message to another agent without waiting for a reply.

    Args:
        message: Text of the message.
        other_agent_id: Id of the agent to send it to.
    """


class MemoryChunk(BaseModel):
    start_index: int = Field(description="Line of the transcript that the passage starts at.")
    end_index: int = Field(description="Line of the transcript that the passage ends at, included.")
    context: str = Field(description="What one needs to know to understand the passage later.")


def store_memories(chunks: list[MemoryChunk]) -> None:
    """Keep the passages of a conversation that leave the context and are worth remembering.

    Args:
        chunks: The passages.
    """


def rethink_user_memory(new_memory: str) -> None:
    """Rewrite what is known about the user.

    Args:
        new_memory: The whole new text, with the old facts that still hold.
    """


def finish_rethinking_memory() -> None:
    """Say that what is known about the user needs no further change."""


def search_memory(
    convo_keyword_queries: list[str] | None = None,
    start_minutes_ago: int | None = None,
    end_minutes_ago: int | None = None,
) -> None:
    """Look for something that was said earlier and is not in the context.

    Args:
        convo_keyword_queries: Words and phrases to look for.
        start_minutes_ago: Where to start, in minutes before now.
        end_minutes_ago: Where to end, in minutes before now.
    """


def run_code(code: str, language: Literal["python", "js", "ts", "r", "java"]) -> None:
    """Run a program in an isolated sandbox and return what it printed.

    Args:
        code: The program.
        language: Its language.
    """


def run_code_with_tools(code: str) -> None:
    """Run a Python program that can call your other tools as functions.

    Args:
        code: The program.
    """


def web_search(
    query: str,
    *,
    num_results: int = 10,
    category: str | None = None,
    include_text: bool = False,
    include_domains: list[str] | None = None,
    exclude_domains: list[str] | None = None,
    start_published_date: str | None = None,
    end_published_date: str | None = None,
    user_location: str | None = None,
) -> None:
    """Search the web.

    Args:
        query: What to look for.
        num_results: How many pages to return at most.
        category: Kind of page, such as news, company or research paper.
        include_text: Whether to return the pages' text too.
        include_domains: Only find pages of these sites.
        exclude_domains: Leave out pages of these sites.
        start_published_date: Earliest date of publication, in ISO 8601 format.
        end_published_date: Latest date of publication, in ISO 8601 format.
        user_location: Two-letter code of the country to search from.
    """


def fetch_webpage(url: str) -> None:
    """Fetch a web page as readable text.

    Args:
        url: Address of the page, with http or https.
    """


class FileRequest(BaseModel):
    file_name: str = Field(description="Name of the file, with its folder.")
    offset: int | None = Field(None, description="First line to show, counted from 0.")
    length: int | None = Field(None, description="How many lines to show.")


def open_files(file_requests: list[FileRequest], close_all_others: bool = False) -> None:
    """Open files of your folders, so that their text is in your context.

    Args:
        file_requests: The files, each whole or a range of its lines.
        close_all_others: Whether to close every file that is not among them.
    """


def grep_files(
    pattern: str, include: str | None = None, context_lines: int | None = 1, offset: int | None = None
) -> None:
    """Search the files of your folders for a regular expression, in any case.

    Args:
        pattern: Regular expression of at most 1000 characters.
        include: Only search files whose name matches this pattern, such as *.md.
        context_lines: How many lines to show around each match.
        offset: How many matches to skip, to see more of them.
    """


def semantic_search_files(query: str, limit: int = 5) -> None:
    """Search the files of your folders by meaning.

    Args:
        query: What to look for, in plain words.
        limit: How many passages to return, at most 50.
    """
