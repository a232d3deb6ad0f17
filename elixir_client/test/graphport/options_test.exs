defmodule Graphport.OptionsTest do
  use ExUnit.Case, async: true

  alias Graphport.Options

  test "defaults fill what is not given" do
    assert Options.validate!(:demand_async, []) ==
             %{
               inputs: %{},
               timeout: :infinity,
               stream: true,
               events: false,
               fresh: false,
               provenance: false,
               trace: false,
               wait: false,
               to: :caller,
               tag: nil
             }

    assert Options.validate!(:stream, []) ==
             %{
               inputs: %{},
               timeout: :infinity,
               stream: true,
               events: false,
               fresh: false,
               trace: false,
               wait: false,
               elements: :chunks,
               window: 32
             }

    assert Options.validate!(:nodes, []) == %{type: nil, timeout: 5_000}

    assert %{name: MyApp, nodes: [], hang_timeout: 10_000} = Options.validate!(:start_link, name: MyApp)
  end

  test "what is required, unknown or of a wrong type raises" do
    for {function, options, text} <- [
          {:start_link, [], "option :name of Graphport.start_link/1 is required"},
          {:start_link, [name: nil], "expected an atom"},
          {:start_link, [name: A, nodes: "x"], "expected a list of non-empty strings"},
          {:start_link, [name: A, start_timeout: 0],
           "expected milliseconds as an integer from 1 to 4000000000"},
          {:start_link, [name: A, pyton: "x"], "did you mean :python?"},
          {:start_link, [name: A, cache: %{}],
           "expected a keyword list of :max_bytes, :max_entries and store:"},
          {:start_link, [name: A, cache: [max_bytes: 0]], "expected a keyword list of :max_bytes"},
          {:start_link, [name: A, cache: [max_bytes: 1, max_bytes: 2]],
           "expected a keyword list of :max_bytes"},
          {:start_link, [name: A, cache: [size: 1]], "expected a keyword list of :max_bytes"},
          {:start_link, [name: A, cache: [store: "x.db"]], "expected a keyword list of :max_bytes"},
          {:start_link, [name: A, cache: [store: {:postgres, "x"}]], "expected a keyword list of :max_bytes"},
          {:start_link, [name: A, cache: [store: {:sqlite, ""}]], "expected a keyword list of :max_bytes"},
          {:start_link, [name: A, cache: [store: {:sqlite, "x", [path: "y"]}]], "expected a keyword list of"},
          {:open, [owner: :me], "expected a pid, :caller or :none"},
          {:demand, [timeout: 4_294_967_295], "expected milliseconds as an integer from 0 to 4000000000"},
          {:demand, [timeout: -1], "expected milliseconds as an integer from 0 to 4000000000"},
          {:demand, [stream: true], "Known options are :inputs, :timeout, :fresh"},
          {:demand_async, [stream: "x"], "expected true, false, :all or a list of node ids"},
          {:demand_async, [to: :x], "expected a pid or :caller"},
          {:demand_async, [events: 1], "expected a boolean"},
          {:stream, [to: self()], "unknown option :to of Graphport.stream/3"},
          {:stream, [window: 0], "expected an integer from 1 to 1000000"},
          {:stream, [window: :infinity], "expected an integer from 1 to 1000000"},
          {:stream, [elements: :events], "expected :chunks or :messages"},
          {:nodes, [type: ""], "option :type of Graphport.nodes/2: expected a non-empty string"},
          {:open, [nam: "x"], "did you mean :name?"},
          {:demand_async, [:stream], "as a keyword list"},
          {:demand_async, %{stream: true}, "as a keyword list"}
        ] do
      error = assert_raise ArgumentError, fn -> Options.validate!(function, options) end
      assert error.message =~ text
    end
  end

  test "a cache is told as engines take it, its path made absolute" do
    cache = [max_bytes: 5, store: {:sqlite, "some/results.db", max_entries: 7}]
    assert %{cache: ^cache} = Options.validate!(:start_link, name: MyApp, cache: cache)

    assert Options.Cache.to_wire(cache) == %{
             "max_bytes" => 5,
             "store" => %{"kind" => "sqlite", "path" => Path.expand("some/results.db"), "max_entries" => 7}
           }

    assert %{"store" => %{"kind" => "filesystem", "path" => "/x"}} =
             Options.Cache.to_wire(store: {:filesystem, "/x"})
  end
end
