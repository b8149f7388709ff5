from directory.pages import Pages


def test_every_page_is_below_the_public_address() -> None:
    pages = Pages(url="https://keys.hospital.org/pki")

    assert pages.install("t") == "https://keys.hospital.org/pki/install/t"
    assert pages.proof("t") == "https://keys.hospital.org/pki/install/prove/t"
    assert pages.stop("t") == "https://keys.hospital.org/pki/install/stop/t"
