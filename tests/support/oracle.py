"""An independent implementation of a simple program: dictionaries and loops, no code of the product.

The program: 1 point per whole USD of an order, 1 more per whole USD of its lines of brand X; one wallet; no ladder.
Everything is decided event by event in the order in which events commit. Instants are datetimes in UTC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

LONG_AGO = datetime(1, 1, 2, tzinfo=UTC)
FOR_EVER = datetime(9999, 12, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Rules:
    """The program. ``pending``: a number of days, "fulfilled" or None; ``rewards``: (name, cost, limit, minutes)."""

    zone: str = "America/New_York"
    months: int | None = 2
    days: int | None = None
    pending: int | str | None = None
    on_return: str = "debt"
    remind: tuple[int, ...] = (30, 7, 1)
    referrer: int = 50
    friend: int = 20
    minimum: int = 2500
    within: int = 10
    cap: int = 1
    #: (cents spent ever, times a quarter of what the rules give), the lowest first; empty: no ladder.
    ladder: tuple[tuple[int, int], ...] = ()
    rewards: tuple[tuple[str, int, int | None, int], ...] = (("small", 10, None, 15), ("big", 40, 1, 2880))

    def yaml(self) -> str:
        """Return the same rules as a program file."""
        expiry = f"{self.days} days" if self.days is not None else f"{self.months} months, to the end of that month"
        pending = {None: "", "fulfilled": ", pending: until fulfilled"}.get(
            self.pending if isinstance(self.pending, str) else None, ""
        )
        if isinstance(self.pending, int):
            pending = f", pending: {self.pending} days"
        rest = f"{pending}, on_return: {self.on_return}, remind: {list(self.remind)}"
        rewards = "".join(
            f"\n  - {{reward: {name}, name: {name}, cost: {cost} points, worth: 1 USD, hold: {minutes} minutes"
            + (f", limit: {limit}" if limit else "") + "}"
            for name, cost, limit, minutes in self.rewards
        )  # fmt: skip
        return f"""
program: corner-shop
name: Corner Shop
currency: USD
time_zone: {self.zone}
effective: 2010-01-01
wallets:
  points: {{name: P, unit: point, expiry: "{expiry}"{rest}}}
earning:
  - {{rule: every-dollar, give: 1 point per whole USD}}
  - {{rule: brand-x, give: 1 point per whole USD, for: {{brand: X}}}}
referral:
  referrer: {self.referrer} points
  friend: {self.friend} points
  purchase_of_at_least: {self.minimum / 100} USD
  within_days: {self.within}
  at_most_a_month: {self.cap}
rewards:{rewards}
{self._ladder()}"""

    def _ladder(self) -> str:
        if not self.ladder:
            return ""
        tiers = "".join(
            f"\n    - {{tier: t{cents}, name: T, from: {cents / 100} USD, multiplier: {quarters}/4}}"
            for cents, quarters in self.ladder
        )
        return f"ladder:\n  metric: spend\n  window: lifetime\n  keep: while the metric holds\n  tiers:{tiers}\n"

    def midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), tzinfo=ZoneInfo(self.zone)).astimezone(UTC)

    def day(self, at: datetime) -> date:
        return at.astimezone(ZoneInfo(self.zone)).date()

    def expiry(self, at: datetime) -> datetime:
        """The midnight after the last day that points of this instant live."""
        if self.days is not None:
            return self.midnight(self.day(at) + timedelta(days=self.days + 1))
        month = self.day(at) + relativedelta(months=self.months or 0)
        return self.midnight(month.replace(day=1) + relativedelta(months=1))

    def available(self, at: datetime) -> datetime:
        if isinstance(self.pending, int):
            return self.midnight(self.day(at) + timedelta(days=self.pending))
        return LONG_AGO if self.pending is None else FOR_EVER

    def reminders(self, expires: datetime) -> list[tuple[datetime, int]]:
        return [(self.midnight(self.day(expires) - timedelta(days=days)), days) for days in self.remind]


#: What points of a lot have in common: when they expire, since when they are available, the order they wait for.
Key = tuple[datetime, datetime, str]


@dataclass
class Wallet:
    """A member's points; of each lot [what is left, whether it is pending]."""

    member: str
    available: int = 0
    pending: int = 0
    reserved: int = 0
    debt: int = 0
    lifetime: int = 0
    as_of: datetime = LONG_AGO
    spent: int = 0
    #: From when on which number of quarters is given.
    tiers: list[tuple[datetime, int]] = field(default_factory=list)
    lots: dict[Key, list[Any]] = field(default_factory=dict)
    #: What expired of each lot, less what was excused of it.
    expired: Counter[Key] = field(default_factory=Counter)
    holds: dict[str, datetime] = field(default_factory=dict)


@dataclass
class Said:
    """What one event led to, for the outside."""

    answers: list[tuple[Any, ...]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    reminders: list[tuple[Any, ...]] = field(default_factory=list)
    referrals: list[tuple[str, str, str | None]] = field(default_factory=list)
    reversed: list[tuple[str, int, int, int]] = field(default_factory=list)


def split(whole: int, weights: list[int]) -> list[int]:
    """By largest remainder, of equals to the earlier."""
    total = sum(weights)
    if not total:
        weights, total = [1] * len(weights), len(weights)
    parts = [whole * weight // total for weight in weights]
    while sum(parts) < whole:
        best = max(range(len(weights)), key=lambda i: (whole * weights[i] - parts[i] * total, -i))
        parts[best] += 1
    return parts


class Oracle:
    """Knows what each event must lead to."""

    def __init__(self, rules: Rules, tie: Callable[[Key | str], Any]) -> None:
        """Create the oracle; ``tie`` orders lots that are equally old and expire together, and holds alike."""
        self.rules = rules
        self.tie = tie
        self.wallets: dict[str, Wallet] = {}
        self.known: dict[str, Any] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.parked: dict[str, list[dict[str, Any]]] = {}
        self.referrals: dict[str, dict[str, Any]] = {}
        self.rewarded: dict[str, list[datetime]] = {}
        self.redemptions: dict[str, dict[str, Any]] = {}
        self.said = Said()

    def tell(self, event: dict[str, Any]) -> Said:
        """Handle one event, and return what it led to."""
        self.said = Said()
        getattr(self, f"_{event['kind']}")(event)
        return self.said

    def sweep(self, members: list[str], horizon: datetime) -> Said:
        self.said = Said()
        for member in members:
            self._due(self.wallet(member), horizon)
        return self.said

    def lots(self, wallet: Wallet) -> list[tuple[Key, list[Any]]]:
        """In burn order: soonest to expire first, then the oldest."""
        return sorted(wallet.lots.items(), key=lambda lot: (lot[0][:2], self.tie(lot[0])))

    def wallet(self, member: str) -> Wallet:
        return self.wallets.setdefault(member, Wallet(member))

    # ---- time

    def _due(self, wallet: Wallet, until: datetime) -> None:
        while True:
            instants = [*wallet.holds.values()]
            for (expires, available, _), (_, pending) in wallet.lots.items():
                if pending:
                    instants.append(available)
                else:
                    instants.append(expires)
                    instants += [at for at, _ in self.rules.reminders(expires) if wallet.as_of < at < expires]
            if not instants or min(instants) > until:
                return
            self._due_at(wallet, max(min(instants), wallet.as_of))

    def _due_at(self, wallet: Wallet, now: datetime) -> None:
        for key, lot in self.lots(wallet):
            if lot[1] and key[1] <= now:
                self._activate(wallet, key)
        for expires in sorted({key[0] for key, lot in wallet.lots.items() if not lot[1]}):
            for at, days in self.rules.reminders(expires):
                if at == now and at > wallet.as_of and now < expires:
                    points = sum(lot[0] for key, lot in wallet.lots.items() if key[0] == expires and not lot[1])
                    self.said.reminders.append((wallet.member, points, days, expires, now))
        self._expire(wallet, now)
        for name, until in sorted(wallet.holds.items(), key=lambda hold: (hold[1], self.tie(hold[0]))):
            if until <= now:
                self._release(wallet, name)
                self.redemptions[name].update(state="released", reason="timed-out")
                self.said.answers.append(("released", "timed-out", name))
        wallet.as_of = now

    def _expire(self, wallet: Wallet, now: datetime) -> None:
        for key, lot in self.lots(wallet):
            if not lot[1] and key[0] <= now:
                wallet.available -= lot[0]
                wallet.expired[key] += lot[0]
                del wallet.lots[key]

    def _activate(self, wallet: Wallet, key: Key) -> None:
        lot = wallet.lots[key]
        lot[1] = False
        wallet.pending -= lot[0]
        wallet.available += lot[0]
        self._repay(wallet)

    def _touch(self, wallet: Wallet, at: datetime) -> datetime:
        """Apply everything due; a late event is posted at the latest instant already seen."""
        now = max(at, wallet.as_of)
        self._due(wallet, now)
        wallet.as_of = now
        return now

    # ---- points

    def _add(self, wallet: Wallet, key: Key, points: int, *, pending: bool = False) -> None:
        lot = wallet.lots.setdefault(key, [0, pending])
        assert lot[1] == pending
        lot[0] += points
        if pending:
            wallet.pending += points
        else:
            wallet.available += points

    def _take(self, wallet: Wallet, key: Key, points: int) -> int:
        """Take up to so many from a lot; returns how many."""
        lot = wallet.lots.get(key)
        if lot is None:
            return 0
        points = min(points, lot[0])
        lot[0] -= points
        if lot[1]:
            wallet.pending -= points
        else:
            wallet.available -= points
        if not lot[0]:
            del wallet.lots[key]
        return points

    def _burn(self, wallet: Wallet, points: int) -> list[tuple[Key, int]]:
        """Take available points, those that expire soonest first."""
        parts = []
        for key, lot in self.lots(wallet):
            if not lot[1] and points and (part := self._take(wallet, key, points)):
                parts.append((key, part))
                points -= part
        return parts

    def _repay(self, wallet: Wallet) -> None:
        if wallet.debt and wallet.available:
            wallet.debt -= sum(part for _, part in self._burn(wallet, wallet.debt))

    def _earn(self, wallet: Wallet, key: Key, points: int) -> None:
        self._add(wallet, key, points, pending=key[1] > wallet.as_of)
        wallet.lifetime += points
        self._repay(wallet)
        self._expire(wallet, wallet.as_of)

    def _reverse(self, wallet: Wallet, own: Key, points: int, name: str) -> None:
        """From its own lot, then what expired of it is excused, then others in burn order, then pending ones."""
        wallet.lifetime -= points
        left = points - self._take(wallet, own, points)
        excused = min(left, wallet.expired[own])
        wallet.expired[own] -= excused
        left -= excused
        left -= sum(part for _, part in self._burn(wallet, left))
        for key, _ in self.lots(wallet):
            left -= self._take(wallet, key, left) if left else 0
        if self.rules.on_return == "debt":
            wallet.debt += left
        self.said.reversed.append((name, points, points - excused - left, left))

    # ---- orders

    def _purchase(self, event: dict[str, Any]) -> None:
        if self._seen(event):
            return
        lines, at = event["lines"], event["at"]
        whole = sum(line["amount"] for line in lines)
        quarters = self._quarters(event["member"], at)
        awards = self._awards(lines, quarters)
        available = self.rules.available(at)
        key = (self.rules.expiry(at), available, event["order"] if available == FOR_EVER else "")
        order = {**event, "awards": awards, "key": key, "back": {}, "left": whole, "quarters": quarters,
                 "fulfilled": False, "changed": LONG_AGO}  # fmt: skip
        self.orders[event["order"]] = order
        if any(map(sum, awards)) or (self.rules.ladder and whole):
            self._spend(self.wallet(event["member"]), at, whole)
        if any(map(sum, awards)):
            wallet = self.wallet(event["member"])
            self._earn(wallet, key, sum(map(sum, awards)))
        referral = self.referrals.get(event["member"])
        if referral and referral["state"] == "open":
            self._judge(referral, order)
        for waiting in self.parked.pop(event["order"], []):
            refused = self._apply(waiting, order)
            if refused:
                del self.known[waiting["id"]]
                self.said.refused.append(refused)

    @staticmethod
    def _awards(lines: list[dict[str, Any]], quarters: int) -> list[list[int]]:
        """What each of both rules pays, by line."""
        awards = []
        amounts = [line["amount"] for line in lines]
        for chosen in ([True] * len(lines), [line["brand"] == "X" for line in lines]):
            matched = [i for i in range(len(lines)) if chosen[i]]
            points = sum(amounts[i] for i in matched) // 100 * quarters // 4
            shares = dict(zip(matched, split(points, [amounts[i] for i in matched]), strict=True)) if points else {}
            awards.append([shares.get(i, 0) for i in range(len(lines))])
        return awards

    def _quarters(self, member: str, at: datetime) -> int:
        """By how many quarters the tier of an instant multiplies."""
        return next((quarters for since, quarters in reversed(self.wallet(member).tiers) if since <= at), 4)

    def _spend(self, wallet: Wallet, at: datetime, amount: int) -> None:
        """Advance the account to an instant, and count an amount towards the tier from then on."""
        now = self._touch(wallet, at)
        wallet.spent += amount
        for threshold, quarters in self.rules.ladder:
            if wallet.spent >= threshold:
                reached = quarters
        if self.rules.ladder and (not wallet.tiers or wallet.tiers[-1][1] != reached):
            wallet.tiers.append((now, reached))

    def _seen(self, event: dict[str, Any]) -> bool:
        if event["id"] in self.known:
            if self.known[event["id"]] != event:
                self.said.refused.append("conflict")
            return True
        self.known[event["id"]] = event
        return False

    def _return(self, event: dict[str, Any]) -> None:
        if self._seen(event):
            return
        order = self.orders.get(event["order"])
        if order is None:
            self.parked.setdefault(event["order"], []).append(event)
        elif refused := self._apply(event, order):
            del self.known[event["id"]]
            self.said.refused.append(refused)

    _fulfil = _void = _amend = _return

    def give_up(self, event: dict[str, Any]) -> None:
        """Refuse an event that has waited too long for its order; it may be sent again."""
        self.parked[event["order"]].remove(event)
        del self.known[event["id"]]

    def _apply(self, event: dict[str, Any], order: dict[str, Any]) -> str | None:
        if event["member"] != order["member"]:
            return "other-member"
        if event["kind"] in {"return", "void"}:
            return self._apply_return({"lines": None, **event}, order)
        if event["kind"] == "amend":
            return self._apply_amendment(event, order)
        self._apply_fulfilment(event, order)
        return None

    def _apply_fulfilment(self, event: dict[str, Any], order: dict[str, Any]) -> None:
        order["fulfilled"] = True
        if not any(map(sum, order["awards"])):
            return
        wallet, key = self.wallet(order["member"]), order["key"]
        self._touch(wallet, event["at"])
        if key[1] == FOR_EVER and key in wallet.lots and wallet.lots[key][1]:
            self._activate(wallet, key)
            self._expire(wallet, wallet.as_of)

    def _apply_return(self, event: dict[str, Any], order: dict[str, Any]) -> str | None:
        plan = self._what_comes_back(event, order)
        if isinstance(plan, str):
            return plan
        points, back = 0, order["back"]
        for i, (quantity, amount) in plan.items():
            before = back.get(i)
            back[i] = (quantity, amount) if before is None else (before[0] + quantity, before[1] + amount)
            for award in order["awards"]:
                line = order["lines"][i]
                points += self._share(award[i], line, back[i]) - self._share(award[i], line, before)
            order["left"] -= amount
        if any(map(sum, order["awards"])) or self.rules.ladder:
            wallet = self.wallet(order["member"])
            self._spend(wallet, event["at"], -sum(amount for _, amount in plan.values()))
            if points:
                self._reverse(wallet, order["key"], points, order["order"])
        self._too_little_left(order, event["at"])
        return None

    def _too_little_left(self, order: dict[str, Any], at: datetime) -> None:
        referral = self.referrals.get(order["member"], {"state": "none"})
        if referral["state"] == "qualified" and referral["order"] == order["order"] and (
            order["left"] < self.rules.minimum
        ):  # fmt: skip
            self._undo(referral, at)

    def _apply_amendment(self, event: dict[str, Any], order: dict[str, Any]) -> str | None:
        """Each rule by itself: what it pays less than before is taken back, what it pays more is earned."""
        if order["back"]:
            return "returned-already"
        if order["fulfilled"]:
            return "fulfilled-already"
        if event["at"] < order["changed"]:
            return "superseded"
        awards = self._awards(event["lines"], order["quarters"])
        whole = sum(line["amount"] for line in event["lines"])
        more = [sum(new) - sum(old) for new, old in zip(awards, order["awards"], strict=True)]
        wallet = self.wallet(order["member"])
        if any(more):
            self._touch(wallet, event["at"])
        if extra := sum(points for points in more if points > 0):
            self._add(wallet, order["key"], extra, pending=order["key"][1] > wallet.as_of)
            wallet.lifetime += extra
            self._repay(wallet)
        if fewer := sum(-points for points in more if points < 0):
            self._reverse(wallet, order["key"], fewer, order["order"])
        self._expire(wallet, wallet.as_of)
        if self.rules.ladder and whole != order["left"]:
            self._spend(wallet, event["at"], whole - order["left"])
        order.update(lines=event["lines"], awards=awards, left=whole, changed=event["at"])
        self._too_little_left(order, event["at"])
        referral = self.referrals.get(order["member"])
        if referral and referral["state"] == "open":
            self._judge(referral, order)
        return None

    @staticmethod
    def _what_comes_back(event: dict[str, Any], order: dict[str, Any]) -> dict[int, tuple[int, int]] | str:
        """Quantity and amount of each line; or why that cannot be."""
        lines, back = order["lines"], order["back"]
        plan: dict[int, tuple[int, int]] = {}
        if event["lines"] is None:
            for i, line in enumerate(lines):
                had = back.get(i)
                if had != (line["quantity"], line["amount"]):
                    quantity, amount = had or (0, 0)
                    plan[i] = (line["quantity"] - quantity, line["amount"] - amount)
            return plan or "returned-already"
        for i, quantity, amount in event["lines"]:
            if i >= len(lines):
                return "unknown-line"
            had = back.get(i, (0, 0))
            if had[0] + quantity > lines[i]["quantity"] or had[1] + amount > lines[i]["amount"]:
                return "more-returned-than-bought"
            plan[i] = (quantity, amount)
        return plan

    @staticmethod
    def _share(points: int, line: dict[str, Any], back: tuple[int, int] | None) -> int:
        if back is None:
            return 0
        if (line["quantity"] and back[0] == line["quantity"]) or (line["amount"] and back[1] == line["amount"]):
            return points
        if line["amount"]:
            return int(points * back[1] // line["amount"])
        return int(points * back[0] // line["quantity"]) if line["quantity"] else points

    # ---- referrals

    def _referral(self, event: dict[str, Any]) -> None:
        if self._seen(event):
            return
        friend, referrer = event["member"], event["referrer"]
        bought = sorted(
            (order for order in self.orders.values() if order["member"] == friend), key=lambda order: order["at"]
        )
        above, chain = referrer, []
        while above in self.referrals:
            above = self.referrals[above]["referrer"]
            chain.append(above)
        if friend == referrer:
            reason = "oneself"
        elif friend in self.referrals:
            reason = "already-referred"
        elif any(order["at"] < event["at"] for order in bought):
            reason = "has-bought-before"
        elif friend in chain:
            reason = "cycle"
        else:
            referral = {**event, "state": "open", "friend": friend}
            self.referrals[friend] = referral
            for order in bought:
                if referral["state"] == "open":
                    self._judge(referral, order)
            return
        self.said.referrals.append((event["id"], "refused", reason))

    def _judge(self, referral: dict[str, Any], order: dict[str, Any]) -> None:
        rules, at = self.rules, order["at"]
        rewarded = self.rewarded.setdefault(referral["referrer"], [])
        if at < referral["at"]:
            self._refuse(referral, "has-bought-before")
        elif rules.day(at) > rules.day(referral["at"]) + timedelta(days=rules.within) or order["left"] < rules.minimum:
            return
        elif [(day.year, day.month) for day in map(rules.day, rewarded)].count(
            (rules.day(at).year, rules.day(at).month)
        ) >= rules.cap:
            self._refuse(referral, "over-the-referrers-cap")
        else:
            rewarded.append(at)
            available = rules.available(at)
            key = (rules.expiry(at), LONG_AGO if available == FOR_EVER else available, "")
            referral.update(state="qualified", order=order["order"], key=key)
            for member, points in ((referral["referrer"], rules.referrer), (referral["friend"], rules.friend)):
                self._touch(self.wallet(member), at)
                self._earn(self.wallet(member), key, points)
            self.said.referrals.append((referral["id"], "qualified", None))

    def _refuse(self, referral: dict[str, Any], reason: str) -> None:
        del self.referrals[referral["friend"]]
        self.said.referrals.append((referral["id"], "refused", reason))

    def _undo(self, referral: dict[str, Any], at: datetime) -> None:
        referral["state"] = "reversed"
        for member, points in (
            (referral["referrer"], self.rules.referrer), (referral["friend"], self.rules.friend),
        ):  # fmt: skip
            self._touch(self.wallet(member), at)
            self._reverse(self.wallet(member), referral["key"], points, referral["id"])
        self.said.referrals.append((referral["id"], "reversed", "the-purchase-was-returned"))

    # ---- redemptions

    def _request(self, event: dict[str, Any]) -> None:
        known = self.redemptions.get(event["name"])
        if known is not None:
            if known["event"] == event:
                self.said.answers.append(known["answers"]["request"])
            else:
                self.said.refused.append("conflict")
            return
        name, member, at = event["name"], event["member"], event["at"]
        made: dict[str, Any] = {
            "event": event, "member": member, "reward": event["reward"], "state": "rejected", "reason": "",
            "answers": {}, "parts": [], "cost": 0,
        }  # fmt: skip
        wallet = self.wallet(member)
        now = self._touch(wallet, at)
        reward = next((reward for reward in self.rules.rewards if reward[0] == event["reward"]), None)
        if reward is None:
            made["reason"] = "unknown-reward"
        else:
            _, made["cost"], limit, minutes = reward
            had = sum(
                one["member"] == member
                and one["reward"] == event["reward"]
                and one["state"] in {"reserved", "redeemed"}
                for one in self.redemptions.values()
            )
            if limit is not None and had >= limit:
                made["reason"] = "limit-reached"
            elif wallet.available < made["cost"]:
                made["reason"] = "not-enough-points"
        self.redemptions[name] = made
        if made["reason"]:
            self._answer(made, "request", ("rejected", made["reason"], name, wallet.available))
            return
        made["parts"] = self._burn(wallet, made["cost"])
        if event["confirm"]:
            made["state"] = "redeemed"
        else:
            made["state"] = "reserved"
            wallet.reserved += made["cost"]
            wallet.holds[name] = now + timedelta(minutes=minutes)
        self._answer(made, "request", (made["state"], None, name, *self._balance(wallet)))

    def _confirm(self, event: dict[str, Any]) -> None:
        made = self._asked(event, "confirm")
        if made is None:
            return
        name, wallet = event["name"], self.wallet(event["member"])
        if made["state"] in {"rejected", "redeemed"}:
            self.said.answers.append(made["answers"]["request"])
            return
        self._touch(wallet, event["at"])
        if made["state"] == "refunded":
            self.said.answers.append(made["answers"]["cancel"])
            return
        if made["state"] == "reserved":
            del wallet.holds[name]
            wallet.reserved -= made["cost"]
        elif made["reason"] == "timed-out" and wallet.available >= made["cost"]:
            made["parts"] = self._burn(wallet, made["cost"])
        else:
            reason = "cancelled" if made["reason"] == "cancelled" else "reservation-timed-out"
            self._answer(made, "confirm", ("rejected", reason, name, wallet.available))
            return
        made.update(state="redeemed", reason="")
        self._answer(made, "confirm", ("redeemed", None, name, *self._balance(wallet)))

    def _cancel(self, event: dict[str, Any]) -> None:
        made = self._asked(event, "cancel")
        if made is None:
            return
        name, wallet = event["name"], self.wallet(event["member"])
        if made["state"] == "rejected":
            self.said.answers.append(made["answers"]["request"])
            return
        self._touch(wallet, event["at"])
        if made["state"] == "reserved":
            self._release(wallet, name)
            made.update(state="released", reason="cancelled")
        elif made["state"] == "redeemed":
            for key, points in made["parts"]:
                self._add(wallet, key, points)
            self._repay(wallet)
            made.update(state="refunded", reason="cancelled")
        self._expire(wallet, wallet.as_of)
        self._answer(made, "cancel", (made["state"], made["reason"], name, *self._balance(wallet)))

    def _asked(self, event: dict[str, Any], asked: str) -> dict[str, Any] | None:
        made = self.redemptions.get(event["name"])
        if made is None:
            self.said.refused.append("unknown-redemption")
        elif made["member"] != event["member"]:
            self.said.refused.append("other-member")
        elif asked in made["answers"]:
            self.said.answers.append(made["answers"][asked])
        else:
            return made
        return None

    def _release(self, wallet: Wallet, name: str) -> None:
        del wallet.holds[name]
        for key, points in self.redemptions[name]["parts"]:
            wallet.reserved -= points
            self._add(wallet, key, points)
        self._repay(wallet)

    def _answer(self, made: dict[str, Any], asked: str, answer: tuple[Any, ...]) -> None:
        made["answers"][asked] = answer
        self.said.answers.append(answer)

    @staticmethod
    def _balance(wallet: Wallet) -> tuple[int, int, int, int]:
        return wallet.available, wallet.pending, wallet.reserved, wallet.debt
