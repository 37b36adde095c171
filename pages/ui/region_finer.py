"""Cells finer than the atlas on the Region page: the choice, what it costs, and the wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui import numbers, resources, state
from pages.ui.messages import say
from sdm_core import on_demand
from sdm_core.errors import FlorascopeError

if TYPE_CHECKING:
    from sdm_core.jobs import Job, JobStatus
    from sdm_core.on_demand import FinePlan
    from sdm_core.regions import Region
    from sdm_core.registry import Atlas

#: Seconds between two looks at a job.
_LOOK_S = 1.0


def choose(atlas: Atlas, region: Region) -> int:
    """H3 resolution of the cells to read: that of the atlas, or a finer one that makes sense for the area."""
    own = atlas.store.resolution
    sizes = [own, *on_demand.finer_resolutions(atlas, region)]
    asked = state.view().resolution
    if asked and asked not in map(str, sizes):
        state.notice(say("unknown_resolution", value=asked))
        state.change(resolution="")
        asked = ""
    st.selectbox(
        say("fine_size"),
        sizes,
        format_func=lambda resolution: _size_text(atlas, resolution),
        key=state.fill("fine_size_picker", int(asked or own)),
        on_change=state.remember(
            "fine_size_picker", "resolution", lambda chosen: "" if chosen == own else str(chosen)
        ),
        help=say("fine_size_help"),
    )
    return int(asked or own)


def _size_text(atlas: Atlas, resolution: int) -> str:
    if resolution != atlas.store.resolution:
        return resources.cell_size_text(resolution)
    area_km2 = resources.fine_area_km2(atlas.name, atlas.key)
    return say("fine_own", area=numbers.number(area_km2, 0 if area_km2 >= 10 else 1, "km²"))


def settle(atlas: Atlas, region: Region, resolution: int) -> tuple[Atlas, Region]:
    """What the page reads: the finer cells where they are there, else the atlas and what to do about it."""
    if resolution == atlas.store.resolution:
        return atlas, region
    try:
        fine = resources.fine_atlas(atlas, region, resolution)
        if fine is not None:
            return fine, on_demand.with_fine_note(atlas, region, resolution)
        _offer(atlas, region, resolution)
    except FlorascopeError as error:
        st.error(str(error), icon=":material/error:")
    return atlas, region


def _offer(atlas: Atlas, region: Region, resolution: int) -> None:
    """The job under way, or what one would cost and the button that starts it."""
    tiles = resources.fine_tiles(atlas.name, atlas.key, region.geometry_hash, resolution, region)
    job = on_demand.fine_job(atlas, tiles, resolution)
    with st.container(border=True, key="fine_box"):
        if job is not None and job.status().active:
            st.fragment(_wait, run_every=_LOOK_S)(job, resolution)
        else:
            _cost(atlas, region, resolution, None if job is None else job.status())


def _cost(atlas: Atlas, region: Region, resolution: int, last: JobStatus | None) -> None:
    plan: FinePlan = on_demand.fine_plan(atlas, region, resolution)
    words, action = st.columns([4, 1.1], vertical_alignment="center")
    area = resources.cell_size_text(resolution)
    with words:
        if plan.problem:
            st.markdown(f"**{say('fine_absent', area=area)}**  \n{say('fine_instead')}")
            st.info(plan.problem, icon=":material/inventory_2:")
        else:
            cost = say(
                "fine_cost",
                n=numbers.number(plan.n_new_cells),
                time=numbers.duration(plan.seconds),
                size=numbers.size(plan.n_bytes),
            )
            st.markdown(f"**{say('fine_title', area=area)}**  \n{cost} {say('fine_meanwhile')}")
            st.caption(on_demand.fine_note(atlas, resolution))
        if last is not None and last.state == "failed":
            st.error(say("fine_failed", reason=last.error), icon=":material/error:")
        elif last is not None and last.state == "cancelled":
            st.caption(say("fine_cancelled"))
    if action.button(
        say("fine_start"),
        key="fine_start",
        type="primary",
        icon=":material/grid_view:",
        disabled=bool(plan.problem),
        width="stretch",
    ):
        on_demand.request_fine(atlas, region, resolution)
        st.rerun()


def _wait(job: Job, resolution: int) -> None:
    """Progress, time left and a way to stop; once the job is over, the whole page runs again."""
    status = job.status()
    if not status.active:
        st.rerun()
    words, action = st.columns([4, 1.1], vertical_alignment="center")
    with words:
        said = say("fine_running", area=resources.cell_size_text(resolution), message=status.message.lower())
        if (left := status.seconds_left_now) is not None:
            said += f" · {say('fine_left', time=numbers.duration(left))}"
        st.progress(status.progress, text=said)
        st.caption(say("fine_cancelling") if job.cancel_asked() else say("fine_leave"))
    action.button(
        say("fine_cancel"),
        key="fine_cancel",
        icon=":material/close:",
        disabled=job.cancel_asked(),
        on_click=job.cancel,
        width="stretch",
    )
