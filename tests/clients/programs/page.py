"""Uses the page of a model in headless Chromium, by keyboard; prints what a person would see.

python page.py URL VALUES.json
"""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

WITHIN_S = 60
url, values = sys.argv[1], json.loads(sys.argv[2])


def browser(folder: str) -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    quiet = ["background-networking", "component-update", "sync", "gpu", "quic", "default-apps", "extensions"]
    for flag in ("headless=new", "no-sandbox", "no-first-run", *(f"disable-{one}" for one in quiet)):
        options.add_argument(f"--{flag}")
    options.add_argument(f"--user-data-dir={folder}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))


def style(page: webdriver.Chrome, scheme: str, width: int) -> dict[str, Any]:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    background, wide = page.execute_script(
        "return [getComputedStyle(document.body).backgroundColor, document.documentElement.scrollWidth]"
    )
    return {"background": background, "fits": wide <= width}


def answered(page: webdriver.Chrome) -> str:
    WebDriverWait(page, WITHIN_S).until(lambda page: page.find_elements(By.CSS_SELECTOR, "#answer .result"))
    return page.find_element(By.ID, "answer").text


with tempfile.TemporaryDirectory() as folder:
    page = browser(folder)
    try:
        page.get(url)
        WebDriverWait(page, WITHIN_S).until(lambda page: page.find_element(By.ID, "model").is_displayed())
        found = {"text": page.find_element(By.TAG_NAME, "body").text}
        keys = webdriver.ActionChains(page)
        first = page.find_element(By.CSS_SELECTOR, "#fields input, #fields select")
        page.execute_script("arguments[0].focus()", first)
        for value in values:
            keys.send_keys(value, Keys.TAB)
        keys.send_keys(Keys.ENTER).perform()
        found["answer"] = answered(page)
        found["request"] = page.execute_script("return document.getElementById('request').textContent")
        page.execute_script("document.getElementById('answer').replaceChildren()")
        page.find_element(By.CSS_SELECTOR, "#samples button").send_keys(Keys.ENTER)
        found["sample"] = answered(page)
        page.find_element(By.CSS_SELECTOR, "#score [type=reset]").send_keys(Keys.ENTER)
        page.find_element(By.CSS_SELECTOR, "#score [type=submit]").send_keys(Keys.ENTER)
        found["problems"] = [one.text for one in page.find_elements(By.CSS_SELECTOR, ".problem") if one.text]
        found["focused"] = page.switch_to.active_element.get_attribute("aria-invalid")
        found["images"] = len(page.find_elements(By.CSS_SELECTOR, "body img"))
        found["options"] = [one.text for one in page.find_elements(By.CSS_SELECTOR, "#fields option")]
        found["asked"] = page.execute_script(
            "return performance.getEntriesByType('resource').map((one) => new URL(one.name).origin)"
        )
        found["styles"] = [
            style(page, scheme, width) for scheme in ("light", "dark") for width in (1280, 390)
        ]
        found["console"] = [one["message"] for one in page.get_log("browser")]
    finally:
        page.quit()
sys.stdout.write(json.dumps(found))
