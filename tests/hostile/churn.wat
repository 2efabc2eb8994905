;; Makes events and drops them, without end. The host must not run out of anything, and must stop it.
(module
  (import "sessiond:plugin/types@0.1.0" "[static]event.parse" (func $parse (param i32 i32 i32)))
  (import "sessiond:plugin/types@0.1.0" "[resource-drop]event" (func $drop (param i32)))
  ;; prelude
  (data (i32.const 512) "{\"role\":\"user\",\"content\":\"x\"}")
  (func $answer (param $list i32) (param $count i32) (result i32)
    (loop $more
      (call $parse (i32.const 512) (i32.const 29) (i32.const 1536))
      (call $drop (i32.load (i32.const 1540)))
      (br $more))
    (unreachable)))
