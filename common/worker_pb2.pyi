from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Piece(_message.Message):
    __slots__ = ("data",)
    DATA_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    def __init__(self, data: _Optional[bytes] = ...) -> None: ...

class LookRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Outlook(_message.Message):
    __slots__ = ("activity", "phase", "round", "exchange", "study", "seconds", "quiet_seconds", "done", "of", "replies", "turned_away", "approved", "resident_bytes", "up_seconds", "rehearsal")
    class Activity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ACTIVITY_UNSPECIFIED: _ClassVar[Outlook.Activity]
        IDLE: _ClassVar[Outlook.Activity]
        WORKING: _ClassVar[Outlook.Activity]
        STOPPING: _ClassVar[Outlook.Activity]
    ACTIVITY_UNSPECIFIED: Outlook.Activity
    IDLE: Outlook.Activity
    WORKING: Outlook.Activity
    STOPPING: Outlook.Activity
    class Phase(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        PHASE_UNSPECIFIED: _ClassVar[Outlook.Phase]
        CENSUS: _ClassVar[Outlook.Phase]
        BACKBONES: _ClassVar[Outlook.Phase]
        FUSION: _ClassVar[Outlook.Phase]
        BOOSTER: _ClassVar[Outlook.Phase]
        CALIBRATION: _ClassVar[Outlook.Phase]
        EVALUATION: _ClassVar[Outlook.Phase]
    PHASE_UNSPECIFIED: Outlook.Phase
    CENSUS: Outlook.Phase
    BACKBONES: Outlook.Phase
    FUSION: Outlook.Phase
    BOOSTER: Outlook.Phase
    CALIBRATION: Outlook.Phase
    EVALUATION: Outlook.Phase
    ACTIVITY_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    ROUND_FIELD_NUMBER: _ClassVar[int]
    EXCHANGE_FIELD_NUMBER: _ClassVar[int]
    STUDY_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    QUIET_SECONDS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    TURNED_AWAY_FIELD_NUMBER: _ClassVar[int]
    APPROVED_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_BYTES_FIELD_NUMBER: _ClassVar[int]
    UP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REHEARSAL_FIELD_NUMBER: _ClassVar[int]
    activity: Outlook.Activity
    phase: Outlook.Phase
    round: int
    exchange: int
    study: bytes
    seconds: float
    quiet_seconds: float
    done: int
    of: int
    replies: int
    turned_away: int
    approved: int
    resident_bytes: int
    up_seconds: float
    rehearsal: bool
    def __init__(self, activity: _Optional[_Union[Outlook.Activity, str]] = ..., phase: _Optional[_Union[Outlook.Phase, str]] = ..., round: _Optional[int] = ..., exchange: _Optional[int] = ..., study: _Optional[bytes] = ..., seconds: _Optional[float] = ..., quiet_seconds: _Optional[float] = ..., done: _Optional[int] = ..., of: _Optional[int] = ..., replies: _Optional[int] = ..., turned_away: _Optional[int] = ..., approved: _Optional[int] = ..., resident_bytes: _Optional[int] = ..., up_seconds: _Optional[float] = ..., rehearsal: bool = ...) -> None: ...
