"""A person who has a keyboard and no mouse: Tab and arrows to get somewhere, Enter and Escape to act."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

_MOST_STEPS = 150
_WHERE = """(element) => {
    const at = document.activeElement;
    if (element === at) return 0;
    return element.compareDocumentPosition(at) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1;
}"""
"""0 where the focus is, 1 where the element comes after it in the page, -1 where it comes before it."""


_ACTIVE = """() => [...document.querySelectorAll('.lm-Menu-item')]
    .findIndex((item) => item.classList.contains('lm-mod-active'))"""
"""The place of the item that Enter chooses in the menu that is open; -1 if there is none."""


class Keyboard:
    """The keyboard of a page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, key: str) -> None:
        """Press a key, wherever the focus is."""
        self.page.keyboard.press(key)

    def go_to(self, control: Locator) -> None:
        """Press Tab, or Shift and Tab, until a control has the focus."""
        expect(control).to_be_visible()
        for _ in range(_MOST_STEPS):
            where = control.evaluate(_WHERE)
            if where == 0:
                return
            self.press("Tab" if where > 0 else "Shift+Tab")
        raise AssertionError(f"{_MOST_STEPS} times Tab do not lead to {control}")

    def use(self, control: Locator, key: str = "Enter") -> None:
        """Go to a control, and press a key there once it takes one."""
        expect(control).to_be_enabled()
        self.go_to(control)
        self.press(key)

    def type(self, control: Locator, text: str) -> None:
        """Go to a field, and type a text in the place of what is there."""
        self.go_to(control)
        self.press("ControlOrMeta+a")
        self.page.keyboard.type(text)

    def choose(self, option: Locator) -> None:
        """Choose a radio button with the arrows; Tab leads only to the one of its group that is chosen."""
        expect(option).to_be_visible()
        group = self.page.locator(f"input[type=radio][name='{option.get_attribute('name')}']")
        self.go_to(group.and_(self.page.locator(":checked")))
        for _ in range(group.count()):
            if option.is_checked():
                return
            self.press("ArrowDown")
        raise AssertionError(f"the arrows do not lead to {option}")

    def choose_in_menu(self, item: Locator) -> None:
        """Choose an item of the menu that is open.

        A menu gets the focus a moment after it is shown, and shows its active item a moment after it has changed.
        """
        expect(item).to_be_visible()
        expect(self.page.locator(".lm-Menu:focus-within")).to_be_visible()
        for _ in range(_MOST_STEPS):
            if "lm-mod-active" in (item.get_attribute("class") or ""):
                break
            before = self.page.evaluate(_ACTIVE)
            self.press("ArrowDown")
            self.page.wait_for_function(f"(before) => ({_ACTIVE})() !== before", arg=before)
        expect(item).to_have_class(re.compile("lm-mod-active"))
        self.press("Enter")
