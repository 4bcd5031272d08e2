"""Working hours: whether a site takes part now, and when it will again. Local time throughout."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta


@dataclass(frozen=True)
class WorkingHours:
    """From when to when a site takes part, every day; they may span midnight."""

    begin: time
    """The first minute that belongs to them."""
    end: time
    """The first that does not."""

    def hold(self, now: datetime) -> bool:
        """Whether it is within them."""
        minute = now.time()
        if self.begin < self.end:
            return self.begin <= minute < self.end
        return minute >= self.begin or minute < self.end

    def next_begin(self, now: datetime) -> datetime:
        """Return when they begin next."""
        today = datetime.combine(now.date(), self.begin)
        return today if now < today else today + timedelta(days=1)


def working_hours(text: str) -> WorkingHours:
    """Read what `client.site_folder.Hours` checked, such as `19:00-07:00`."""
    begin, end = (time.fromisoformat(part) for part in text.split("-"))
    return WorkingHours(begin, end)
