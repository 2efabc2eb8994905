;; Puts a text of twenty million bytes into an event. The host must stop it, and name the limit.
(module
  (import "sessiond:plugin/types@0.1.0" "[method]event.set-text"
    (func $set_text (param i32 i32 i32 i32 i32)))
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (drop (memory.grow (i32.const 400)))
    (call $set_text (i32.load (local.get $list)) (i32.const 0)
      (i32.const 65536) (i32.const 20000000) (i32.const 1536))
    (call $hand_back (local.get $list) (local.get $count))))
