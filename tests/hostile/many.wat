;; Returns a list of three hundred thousand handles, all of which lie in its memory and none of which it
;; ever got. The host must trap it.
(module
  ;; prelude
  (func $answer (param $list i32) (param $count i32) (result i32)
    (drop (memory.grow (i32.const 32)))
    (memory.fill (i32.const 65536) (i32.const 1) (i32.const 1200000))
    (call $hand_back (i32.const 65536) (i32.const 300000))))
