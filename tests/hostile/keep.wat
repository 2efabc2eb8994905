;; Keeps the handle of the first event that it ever gets, dropping that event, and in every later
;; call writes to it. The host must trap it, and must not touch an event of the later call (P29).
(module
  (import "sessiond:plugin/types@0.1.0" "[method]event.set-text"
    (func $set_text (param i32 i32 i32 i32 i32)))
  ;; prelude
  (data (i32.const 512) "STALE")
  (global $kept (mut i32) (i32.const 0))
  (func $answer (param $list i32) (param $count i32) (result i32)
    (if (i32.eqz (global.get $kept))
      (then
        (global.set $kept (i32.load (local.get $list)))
        (return (call $hand_back (i32.const 0) (i32.const 0)))))
    (call $set_text (global.get $kept) (i32.const 0) (i32.const 512) (i32.const 5) (i32.const 1536))
    (call $hand_back (local.get $list) (local.get $count))))
