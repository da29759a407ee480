"""What all tests share: how examples are searched for."""

from __future__ import annotations

import hypothesis

# No deadline, because a busy machine is no defect; the same examples in every run, so that a failure can be repeated.
hypothesis.settings.register_profile("gradmill", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("gradmill")
