"""The MLflow UI as a reviewer sees it: a real server, a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import (
    ElementClickInterceptedException,
    ElementNotInteractableException,
    StaleElementReferenceException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from medmamba_monai.tracking.mlflow_store import format_experiment_page
from tests.helpers.small_bundle import free_port, mlflow_service
from tests.helpers.tracked_runs import TrackedRuns

NOT_READY = [StaleElementReferenceException, ElementNotInteractableException, ElementClickInterceptedException]
CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
]


@pytest.fixture(scope="module")
def address(cross_validated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``mlflow ui`` on the store of a finished cross-validation."""
    folder = tmp_path_factory.mktemp("ui")
    with mlflow_service("ui", cross_validated / "mlruns.db", folder, free_port()) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1600,1200"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={profile}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def page(browser: webdriver.Chrome, url: str, *texts: str) -> None:
    """Open a page and wait until it shows these texts."""
    browser.get(url)
    wait(browser, lambda: all(text in body(browser) for text in texts))


def body(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "body").text


def wait(browser: webdriver.Chrome, happened: Callable[[], Any]) -> None:
    WebDriverWait(browser, 120, ignored_exceptions=NOT_READY).until(lambda _: happened())


def click(browser: webdriver.Chrome, path: str) -> None:
    """Click on an element as soon as it is there and can be clicked on; MLflow draws it anew while it loads."""
    WebDriverWait(browser, 120, ignored_exceptions=NOT_READY).until(lambda page: _is_clicked(page, path))


def _is_clicked(browser: webdriver.Chrome, path: str) -> bool:
    browser.find_element(By.XPATH, path).click()
    return True


@pytest.fixture(scope="module")
def experiment(address: str, cross_validated: Path) -> tuple[str, str]:
    """Address of the experiment, and of its parent run."""
    parent = TrackedRuns(cross_validated / "mlruns.db").parents[0]
    shown = format_experiment_page(address, parent.info.experiment_id)
    return shown, f"{address}/#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}"


def test_the_printed_address_opens_on_the_runs_and_their_dataset(browser, experiment):
    page(browser, experiment[0], "Runs", "small", "3 matching runs", "Dataset", "phantom (")


def test_the_run_table_shows_the_parent_with_a_child_for_each_fold(browser, experiment):
    page(browser, experiment[0], "small", "3 matching runs")
    click(browser, "//*[@role='row'][.//a[.='small']]//button")
    wait(browser, lambda: all(f"fold {fold}" in body(browser) for fold in (0, 1)))


def test_the_parents_page_begins_with_its_note(browser, experiment, cross_validated):
    metrics = TrackedRuns(cross_validated / "mlruns.db").parents[0].data.metrics
    page(browser, experiment[1], "small: MedMamba on Phantom", f"ensemble: {100 * metrics['ensemble/accuracy']:.2f} %")


def test_the_confusion_matrix_is_shown_as_a_picture(browser, experiment):
    page(browser, f"{experiment[1]}/artifacts", "figures", "summary.md")
    click(browser, "//*[text()='figures']")
    click(browser, "//*[text()='confusion_matrix_ensemble.png']")
    script = "return [...document.images].some(i => i.alt.endsWith('ensemble.png') && i.naturalWidth > 300)"
    wait(browser, lambda: browser.execute_script(script))


def images_are_drawn(browser: webdriver.Chrome) -> bool:
    """Whether the page has images and all of them could be decoded."""
    script = "return document.images.length > 5 && [...document.images].every(i => i.complete && i.naturalWidth > 0)"
    return bool(browser.execute_script(script))


def test_the_report_opens_in_the_artifact_viewer(browser, experiment):
    page(browser, f"{experiment[1]}/artifacts", "report.html", "summary.md")
    click(browser, "//*[text()='report.html']")
    wait(browser, lambda: browser.find_elements(By.TAG_NAME, "iframe"))
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    try:
        wait(browser, lambda: browser.find_elements(By.TAG_NAME, "h1"))
        assert browser.find_element(By.TAG_NAME, "h1").text == "small: MedMamba on Phantom"
        wait(browser, lambda: images_are_drawn(browser))
    finally:
        browser.switch_to.default_content()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_report_alone_fits_a_screen(browser, cross_validated, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.get((cross_validated / "output" / "report.html").as_uri())
        wait(browser, lambda: images_are_drawn(browser))
        found = browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]")
        assert found[0] == width
        assert found[1] <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
