"""Never gets ready, and hears nothing."""

import time

while True:
    time.sleep(60)
