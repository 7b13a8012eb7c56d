package tests;

import io.mcpmesh.MeshAgent;
import io.mcpmesh.MeshTool;
import io.mcpmesh.Param;
import io.mcpmesh.Selector;
import io.mcpmesh.types.McpMeshTool;
import java.util.Map;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;

/** Tells of days, and asks others for what it does not know itself. */
@MeshAgent(name = "almanac", version = "1.0.0", description = "Days, from Java", port = 0)
@SpringBootApplication
public class Almanac {
    public static void main(String[] arguments) {
        SpringApplication.run(Almanac.class, arguments);
    }

    /** Whose day it is. */
    @MeshTool(capability = "name_day", description = "Whose day it is", tags = {"java"})
    public String nameDay(@Param("day") String day) {
        return day + " is the day of Cecilia";
    }

    /** Asks a Python agent for the date, and one in Rust for a greeting. */
    @MeshTool(capability = "morning", description = "Says good morning",
        dependencies = {@Selector(capability = "date_service"), @Selector(capability = "greeting")})
    public String morning(@Param("name") String name, McpMeshTool<String> date, McpMeshTool<String> greeting) {
        return date.call() + ": " + greeting.call(Map.of("name", name));
    }
}
