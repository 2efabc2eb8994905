;; Puts bytes into an event that are no text. The host must trap it.
(module
  (import "sessiond:plugin/types@0.1.0" "[method]event.set-text"
    (func $set_text (param i32 i32 i32 i32 i32)))
  ;; prelude
  (data (i32.const 512) "\ff\fe\c0\80")
  (func $answer (param $list i32) (param $count i32) (result i32)
    (call $set_text (i32.load (local.get $list)) (i32.const 0)
      (i32.const 512) (i32.const 4) (i32.const 1536))
    (call $hand_back (local.get $list) (local.get $count))))
